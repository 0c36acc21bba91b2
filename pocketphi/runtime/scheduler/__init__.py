"""Many requests on one engine: what is asked (`job`), what waits (`waiting`), what runs (`batch`), and the thread that
drives it (`scheduler`)."""
