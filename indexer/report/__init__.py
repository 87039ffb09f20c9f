"""The liquidation report: pictures and numbers of one window, on one page or in the terminal."""
