"""The kernel: its requests as calls on the tree, our errors as errnos, the mount itself."""
