"""The network: the Hub's metadata as values, its contents as streams, its failures as our errors."""
