"""Keep: text -> rows; upkeep; CERT-FR. The ground floor, and the only folder with SQL."""
