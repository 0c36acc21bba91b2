"""Many requests on one engine: what is asked (`job`), what waits (`waiting`), what runs (`batch`), who drives it (`scheduler`)."""
