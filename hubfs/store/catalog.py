"""The metadata of one endpoint's repos: names, refs, snapshots and the numbers of their inodes.

Reads are cheap and may be made from the event loop; writes sync the disk, so
call them from a worker thread. A number, once given, means the same for ever.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from hubfs.model.identifiers import RepoId, RepoKind, is_repo_name
from hubfs.model.tree import Listing, TreeBuilder
from hubfs.store.index import Index, Table, Transaction
from hubfs.store.met import Met
from hubfs.store.records import (
    R,
    RefRecord,
    RefusalRecord,
    RepoRecord,
    SnapshotRecord,
    pack,
    unpack,
)

_LISTING_KEY = struct.Struct(">II")
_NUMBER = struct.Struct(">I")
_PAGE = 500
_FIRST_NUMBER = 16  # below it: the fixed nodes of the mount's root


class Node(NamedTuple):
    """What a number stands for.

    `role` is "org" (a directory of repos), "alias" (a symlink), "view" (a
    repo's directories at a revision) or "snapshot" (the files of a commit).
    """

    role: str
    kind: str
    name: str
    revision: str = ""
    commit: str = ""

    @property
    def repo(self) -> RepoId:
        """The repo that it belongs to."""
        return RepoId(RepoKind(self.kind), self.name)


class Catalog:
    """Everything known about the repos of one endpoint."""

    def __init__(self, index: Index, endpoint: str) -> None:
        """Look at the part of `index` that belongs to `endpoint`."""
        self.endpoint = endpoint
        self._index = index
        self._scope = hashlib.sha256(endpoint.encode()).hexdigest()[:8]
        self._met = Met()

    # --- repos and aliases -------------------------------------------------------------

    def find_repo(self, repo: RepoId) -> RepoRecord | None:
        """The repo of exactly this name."""
        return self._find("repos", self._key(repo.kind, repo.name), RepoRecord)

    def find_alias(self, kind: RepoKind, name: str) -> str | None:
        """The canonical name behind another spelling of a repo or an organisation."""
        with self._index.read() as txn:
            found = txn.get(self._key(kind, name), db=self._table("aliases"))
        return found.decode() if found else None

    def find_canonical(self, repo: RepoId) -> RepoId | None:
        """The known repo that `repo` is a name of."""
        if self.find_repo(repo) is not None:
            return repo
        name = self.find_alias(repo.kind, repo.name)
        return RepoId(repo.kind, name) if name and is_repo_name(name) else None

    def put_repo(self, repo: RepoId, record: RepoRecord) -> None:
        """Make `repo` known."""

        def change(txn: Transaction) -> None:
            txn.put(self._key(repo.kind, repo.name), pack(record), db=self._table("repos"))
            self._number(txn, Node("org", repo.kind.value, repo.org))

        self._index.write(change)

    def put_alias(self, kind: RepoKind, name: str, canonical: str) -> int:
        """Remember that `name` is another spelling of `canonical`; return its number."""

        def change(txn: Transaction) -> int:
            txn.put(self._key(kind, name), canonical.encode(), db=self._table("aliases"))
            return self._number(txn, Node("alias", kind.value, name))

        return self._index.write(change)

    def drop_alias(self, kind: RepoKind, name: str) -> bool:
        """Forget that `name` is another spelling; return whether it was. Its number stays."""
        key = self._key(kind, name)
        if self.find_alias(kind, name) is None:
            return False
        return self._index.write(lambda txn: bool(txn.delete(key, db=self._table("aliases"))))

    def orgs(self, kind: RepoKind) -> list[str]:
        """The organisations that have a known repo, in name order."""
        return sorted(org for org, is_org in self._tops("repos", kind) if is_org)

    def bare(self, kind: RepoKind) -> list[str]:
        """The known repos whose canonical name has no organisation."""
        return [name for name, is_org in self._tops("repos", kind) if not is_org]

    def has_org(self, kind: RepoKind, name: str) -> bool:
        """Whether `name` is an organisation with a known repo."""
        return self._is_any_in("repos", self._key(kind, f"{name}/"))

    def has_aliases_in(self, kind: RepoKind, org: str) -> bool:
        """Whether `org` is an organisation in which a known repo has another name."""
        return self._is_any_in("aliases", self._key(kind, f"{org}/"))

    def _is_any_in(self, table: str, prefix: bytes) -> bool:
        with self._index.read() as txn, txn.cursor(db=self._table(table)) as cursor:
            return bool(cursor.set_range(prefix)) and cursor.key().startswith(prefix)

    def _tops(self, table: str, kind: RepoKind) -> Iterator[tuple[str, bool]]:
        """What stands before the first slash of known names; one seek each, however many repos."""
        prefix = self._key(kind, "")
        with self._index.read() as txn, txn.cursor(db=self._table(table)) as cursor:
            at = prefix
            while cursor.set_range(at) and cursor.key().startswith(prefix):
                top, slash, _ = cursor.key()[len(prefix) :].decode().partition("/")
                yield top, bool(slash)
                # "0" follows "/": past all of an organisation, or just past a bare name.
                at = self._key(kind, top) + (b"0" if slash else b"\0")

    def repos(self, kind: RepoKind, org: str) -> list[str]:
        """The names, without the organisation, of the known repos of `org`."""
        return list(self._names("repos", self._key(kind, f"{org}/")))

    def aliases(self, kind: RepoKind, org: str) -> list[str]:
        """The names, without the organisation, of the aliases in `org`; of bare ones for ""."""
        if not org:
            return [name for name, is_org in self._tops("aliases", kind) if not is_org]
        return list(self._names("aliases", self._key(kind, f"{org}/")))

    def _names(self, table: str, prefix: bytes) -> Iterator[str]:
        with self._index.read() as txn, txn.cursor(db=self._table(table)) as cursor:
            if not cursor.set_range(prefix):
                return
            for key in cursor.iternext(values=False):
                if not key.startswith(prefix):
                    return
                yield key[len(prefix) :].decode()

    def names(self, kind: RepoKind, limit: int, after: str = "") -> list[str]:
        """The first known repos of `kind` in name order, those that follow `after`."""
        prefix = self._key(kind, "")
        found: list[str] = []
        with self._index.read() as txn, txn.cursor(db=self._table("repos")) as cursor:
            is_there = cursor.set_range(self._key(kind, after) + b"\0" * bool(after))
            while is_there and cursor.key().startswith(prefix) and len(found) < limit:
                found.append(cursor.key()[len(prefix) :].decode())
                is_there = cursor.next()
        return found

    def count_repos(self) -> int:
        """How many repos of all kinds are known."""
        prefix, count = self._scope.encode() + b":", 0
        with self._index.read() as txn, txn.cursor(db=self._table("repos")) as cursor:
            if cursor.set_range(prefix):
                for key in cursor.iternext(values=False):
                    if not key.startswith(prefix):
                        break
                    count += 1
        return count

    def note_refusal(self, repo: RepoId, record: RefusalRecord | None) -> None:
        """Remember why the last sync of `repo` failed; None: it did not."""
        key = self._key(repo.kind, repo.name)
        if record is None and self.find_refusal(repo) is None:
            return

        def change(txn: Transaction) -> None:
            if record is None:
                txn.delete(key, db=self._table("refusals"))
            else:
                txn.put(key, pack(record), db=self._table("refusals"))

        self._index.write(change)

    def find_refusal(self, repo: RepoId) -> RefusalRecord | None:
        """Why the last sync of `repo` failed, if it did."""
        return self._find("refusals", self._key(repo.kind, repo.name), RefusalRecord)

    def listings(self, snapshot: SnapshotRecord, first: int = 1) -> Iterator[Listing]:
        """The listings of a snapshot, parents first, from the one that has ordinal `first` on.

        They are read as they are asked for; each begins where another ends.
        """
        while (listing := self.find_listing(snapshot.number, first)) is not None:
            yield listing
            first = listing.first + max(1, len(listing))

    # --- refs and snapshots ------------------------------------------------------------

    def find_ref(self, repo: RepoId, revision: str) -> RefRecord | None:
        """What `revision` of `repo` meant when last asked."""
        return self._find("refs", self._ref_key(repo, revision), RefRecord)

    def refs(self, repo: RepoId) -> list[str]:
        """The revisions of `repo` that are known, the default one as ""."""
        return list(self._names("refs", self._ref_key(repo, "")))

    def find_snapshot(self, repo: RepoId, commit: str) -> SnapshotRecord | None:
        """The tree of `commit`, if it has been synced. Who finds it may use its number for ever."""
        found = self.peek_snapshot(repo, commit)
        return found if found and self._met.meet(found.number) else None

    def peek_snapshot(self, repo: RepoId, commit: str) -> SnapshotRecord | None:
        """The same for who keeps nothing of it: it may be forgotten afterwards."""
        return self._find("snapshots", self._ref_key(repo, commit), SnapshotRecord)

    def every_commit(self) -> Iterator[tuple[RepoId, str]]:
        """The commits whose trees are stored, of this endpoint, of repos known and forgotten."""
        prefix = f"{self._scope}:".encode()
        page = self._snapshot_page(prefix)
        while page and page[0][0].startswith(prefix):
            for key, _ in page:
                scope, kind, name = key.decode().split(":", 2)
                if scope == self._scope:
                    repo, _, commit = name.rpartition("@")
                    yield RepoId(RepoKind(kind), repo), commit
            page = self._snapshot_page(page[-1][0] + b"\0")

    def every_snapshot(self) -> Iterator[SnapshotRecord]:
        """All stored trees, of all endpoints; read page by page."""
        start = b""
        while page := self._snapshot_page(start):
            yield from (unpack(SnapshotRecord, value) for _, value in page)
            start = page[-1][0] + b"\0"

    def _snapshot_page(self, start: bytes) -> list[tuple[bytes, bytes]]:
        found: list[tuple[bytes, bytes]] = []
        with self._index.read() as txn, txn.cursor(db=self._table("snapshots")) as cursor:
            is_there = cursor.set_range(start) if start else cursor.first()
            while is_there and len(found) < _PAGE:
                found.append((bytes(cursor.key()), bytes(cursor.value())))
                is_there = cursor.next()
        return found

    def snapshots(self, repo: RepoId) -> list[str]:
        """The commits of `repo` whose trees are stored."""
        return list(self._names("snapshots", self._ref_key(repo, "")))

    def put_ref(self, repo: RepoId, revision: str, commit: str, checked_at: float) -> RefRecord:
        """Point `revision` at `commit`, whose snapshot is stored."""

        def change(txn: Transaction) -> RefRecord:
            view = Node("view", repo.kind.value, repo.name, revision, commit)
            record = RefRecord(commit, self._number(txn, view), checked_at)
            txn.put(self._ref_key(repo, revision), pack(record), db=self._table("refs"))
            return record

        return self._index.write(change)

    def put_snapshot(
        self, repo: RepoId, commit: str, builder: TreeBuilder, mtime: float
    ) -> SnapshotRecord:
        """Store the tree of `commit` whole, in one transaction. Empties `builder`.

        The tree of a commit never changes: one that is stored already is kept,
        since its inodes may be in use.
        """
        key = self._ref_key(repo, commit)
        packed, directories = [], 0
        for listing in builder.listings():
            directories += listing.first == listing.whole.start
            packed.append((listing.first, listing.pack()))

        def change(txn: Transaction) -> SnapshotRecord:
            known = txn.get(key, db=self._table("snapshots"))
            if known:
                record = unpack(SnapshotRecord, known)
                self._met.keep(record.number)
                return record
            node = Node("snapshot", repo.kind.value, repo.name, "", commit)
            number = self._number(txn, node)
            self._met.keep(number)
            stats = builder.stats
            record = SnapshotRecord(number, stats.files, stats.size, mtime, directories)
            self._put_listings(txn, number, packed)
            txn.put(key, pack(record), db=self._table("snapshots"))
            return record

        return self._index.write(change)

    def _put_listings(
        self, txn: Transaction, number: int, packed: Iterable[tuple[int, bytes]]
    ) -> None:
        table = self._table("listings")
        for first, listing in packed:
            txn.put(_LISTING_KEY.pack(number, first), listing, db=table)

    def find_listing(self, number: int, ordinal: int) -> Listing | None:
        """The listing of snapshot `number` in which `ordinal` stands, or which begins there."""
        with self._index.read() as txn, txn.cursor(db=self._table("listings")) as cursor:
            wanted = _LISTING_KEY.pack(number, ordinal)
            at_or_after = cursor.set_range(wanted)
            found = at_or_after and cursor.key() == wanted
            found = found or (cursor.prev() if at_or_after else cursor.last())
            if not found or _LISTING_KEY.unpack(cursor.key())[0] != number:
                return None
            listing = Listing.unpack(cursor.value())
        return listing if ordinal < listing.first + max(1, len(listing)) else None

    # --- forgetting --------------------------------------------------------------------

    def drop_ref(self, repo: RepoId, revision: str) -> None:
        """Forget what `revision` of `repo` means. Its snapshot stays until it is pruned."""
        key = self._ref_key(repo, revision)
        self._index.write(lambda txn: txn.delete(key, db=self._table("refs")))

    def drop_repo(self, repo: RepoId) -> None:
        """Forget that there is such a repo, its other names too. Numbers keep their meaning."""
        aliases = [
            self._key(repo.kind, name)
            for name in self._names("aliases", self._key(repo.kind, ""))
            if (self.find_alias(repo.kind, name) or "").partition("@")[0] == repo.name
        ]
        refs = [self._ref_key(repo, revision) for revision in self.refs(repo)]
        known = self._key(repo.kind, repo.name)

        def change(txn: Transaction) -> None:
            for table, keys in (("aliases", aliases), ("refs", refs)):
                for key in keys:
                    txn.delete(key, db=self._table(table))
            for table in ("repos", "refusals"):
                txn.delete(known, db=self._table(table))

        self._index.write(change)

    def withdraw_repo(self, repo: RepoId) -> bool:
        """Forget a repo that is known by hearsay alone; return whether it was. Others stay."""
        known = self._key(repo.kind, repo.name)

        def change(txn: Transaction) -> bool:
            found = txn.get(known, db=self._table("repos"))
            if not found or not unpack(RepoRecord, found).is_hearsay:
                return False
            for table in ("repos", "refusals"):
                txn.delete(known, db=self._table(table))
            return True

        record = self.find_repo(repo)
        # A commit of it that was listed, as by a scan of a client's cache, is more than hearsay.
        is_hearsay = record is not None and record.is_hearsay and not self.refs(repo)
        return is_hearsay and self._index.write(change)

    def drop_snapshot(self, repo: RepoId, commit: str) -> bool:
        """Forget the tree of a commit, unless somebody has found it since the start."""
        key = self._ref_key(repo, commit)
        record = self.peek_snapshot(repo, commit)
        if record is None or not self._met.let_go(record.number):
            return False

        def change(txn: Transaction) -> None:
            if not self._met.is_going(record.number):
                return
            txn.delete(key, db=self._table("snapshots"))
            with txn.cursor(db=self._table("listings")) as cursor:
                first = _NUMBER.pack(record.number)
                is_there = cursor.set_range(first)
                while is_there and cursor.key().startswith(first):
                    is_there = cursor.delete()

        try:
            self._index.write(change)
        finally:
            self._met.note_gone(record.number)
        return True

    # --- numbers -----------------------------------------------------------------------

    def find_node(self, number: int) -> Node | None:
        """What `number` was given to."""
        with self._index.read() as txn:
            found = txn.get(_NUMBER.pack(number), db=self._table("nodes"))
        scope, *node = json.loads(found) if found else [""]
        return Node(*node) if scope == self._scope else None

    def find_number(self, node: Node) -> int | None:
        """The number of `node`, if it has one."""
        with self._index.read() as txn:
            found = txn.get(self._node_key(node), db=self._table("numbers"))
        return _NUMBER.unpack(found)[0] if found else None

    def number_of(self, node: Node) -> int:
        """The number of `node`, given now if it had none."""
        return self._index.write(lambda txn: self._number(txn, node))

    def _number(self, txn: Transaction, node: Node) -> int:
        key = self._node_key(node)
        numbers, nodes = self._table("numbers"), self._table("nodes")
        found = txn.get(key, db=numbers)
        if found:
            return int(_NUMBER.unpack(found)[0])
        with txn.cursor(db=nodes) as cursor:
            number = _NUMBER.unpack(cursor.key())[0] + 1 if cursor.last() else _FIRST_NUMBER
        txn.put(key, _NUMBER.pack(number), db=numbers)
        txn.put(_NUMBER.pack(number), json.dumps([self._scope, *node]).encode(), db=nodes)
        return int(number)

    # --- keys --------------------------------------------------------------------------

    def _table(self, name: str) -> Table:
        return self._index.table(name)

    def _find(self, table: str, key: bytes, kind: type[R]) -> R | None:
        with self._index.read() as txn:
            found = txn.get(key, db=self._table(table))
        return unpack(kind, found) if found else None

    def _key(self, kind: RepoKind, name: str) -> bytes:
        return f"{self._scope}:{kind.value}:{name}".encode()

    def _ref_key(self, repo: RepoId, revision: str) -> bytes:
        return self._key(repo.kind, repo.name) + b"@" + revision.encode()

    def _node_key(self, node: Node) -> bytes:
        # LMDB keys end at 511 bytes, and a revision may take 200: digest what could be longer.
        return hashlib.sha256(json.dumps([self._scope, *node]).encode()).digest()
