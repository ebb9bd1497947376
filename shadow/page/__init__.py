"""The report as a page, and what it shares with the dashboard."""
