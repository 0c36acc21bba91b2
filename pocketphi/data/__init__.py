"""Choose and write the data: the primer, curation, mixture and packing."""
