"""What the scenario tests share: the stage they play on, and scenes as data."""
