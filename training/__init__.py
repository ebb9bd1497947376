"""From candles to a bundle."""
