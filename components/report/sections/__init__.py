"""The page's sections: one module and one template each."""
