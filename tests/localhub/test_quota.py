from tests.localhub.quota import Quota


def test_a_window_has_so_many_requests() -> None:
    quota = Quota()
    quota.limit, quota.window = 2, 10

    balances = [quota.charge("api", "me", now) for now in (100.0, 103.0, 105.5, 110.0)]

    assert [balance.is_exhausted for balance in balances] == [False, False, True, False]
    assert [balance.remaining for balance in balances] == [1, 0, 0, 1]


def test_buckets_and_callers_are_counted_apart() -> None:
    quota = Quota()
    quota.limit = 1
    quota.charge("api", "me", 0)

    assert quota.charge("api", "me", 0).is_exhausted
    assert not quota.charge("resolvers", "me", 0).is_exhausted
    assert not quota.charge("api", "you", 0).is_exhausted


def test_the_headers_have_the_form_of_the_real_hub() -> None:
    quota = Quota()
    quota.limit = 3000

    headers = dict(quota.charge("resolvers", "me", 128.0).headers())

    assert headers == {
        "RateLimit": '"resolvers";r=2999;t=172',
        "RateLimit-Policy": '"fixed window";"resolvers";q=3000;w=300',
    }
