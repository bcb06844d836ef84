"""A language model as a witness of a judgement: how it is asked, how it is held to its form, how far it is trusted."""
