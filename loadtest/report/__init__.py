"""Reports on runs: one page and pictures, for a run or for two side by side."""
