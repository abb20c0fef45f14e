"""What people see of results: leaderboard, page, plots, the Hub."""
