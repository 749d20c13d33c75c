"""`python -m flows.cli`: the same as the console script `calig`."""

from flows.cli.entry import main

main()
