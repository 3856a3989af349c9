"""From a plan to a data set: plan, prompt, generator, parse, check, write."""
