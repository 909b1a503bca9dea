"""One file a data set, found by its name in `components.DATASETS`. `data.dataset` says what each must offer."""
