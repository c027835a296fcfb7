"""What is pytest's: options, trials as test items, fixtures, recording and the summary."""
