"""The disk: an LMDB index, verified blobs, and partial files on their way to become blobs."""
