-- The platform's own database, beside Dagster's: both keep the version of their schema in a table of the same name.
CREATE DATABASE finetune;
