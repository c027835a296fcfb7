"""The timer, measured: bias, spread, detection of planted slowdowns and cost, beside the timers of its peers."""
