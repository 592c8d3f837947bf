"""CERT-FR: reading its publications, and saying which of them concern a machine."""
