"""Training one stage in several processes: what each of them sees, how they start, what becomes of one that dies."""
