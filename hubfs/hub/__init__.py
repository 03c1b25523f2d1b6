"""The network: the Hub's metadata as values, its contents as streams, failures as errors."""
