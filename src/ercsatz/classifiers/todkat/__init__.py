"""TODKAT (Zhu et al., ACL 2021)."""
