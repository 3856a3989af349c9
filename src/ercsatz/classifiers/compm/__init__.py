"""CoMPM (Lee and Lee, NAACL 2022)."""
