"""A TEAD to be looked at: figures, the page for a browser, comparisons."""
