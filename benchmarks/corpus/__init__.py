"""How many planted faults the checks find, and which healthy layers they fail, beside other tools."""
