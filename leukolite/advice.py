"""What a person at the command line can do about an error: the options that help, which the core does not know."""

ADVICE = {
    "batch-size": "give --batch-size such a number",
    "bundle-name": "choose one with --name",
    "cache": "give one with --cache DIR, or --cache none to decode each time",
    "data-moved": "say where the data folder is now with --data",
    "learning-rate": "as with --set learning_rate=1e-4",
    "malignant": "give --malignant LABELS, or --malignant none",
    "no-imagenet": "use --weights none or a file",
    "no-resume": "run without --resume",
    "no-resume-replaces": "leave --resume out to replace it",
    "or-no-resume": "or leave --resume out",
    "other-out": "choose another --out",
    "resume": "--resume goes on with it",
    "serve": "give --serve another port or address",
    "split-image": "use --split image or kfold:N",
    "split-of-run": "leukolite train --split RUN takes the split of a run",
    "to-int8": "convert with --to int8",
    "weights-file": "as --weights FILE",
    "allow-cpu": "or allow that with --allow-cpu",
    "camera-size": "choose another --camera-size",
    "camera-size-kinds": "--camera-size is for picamera2 and v4l2 cameras",
    "camera-size-of-its-own": "ask for that with --camera-size",
    "cells-of-field": "--cells is for bundles that classify cells, leave it out",
    "edgetpu": "give --runtime edgetpu",
    "finding-of-field": "--cell-diameter and --channel are for bundles that classify cells, leave them out",
    "list-cameras": "edge-run --list-cameras shows what is plugged in",
    "litert": "give --runtime litert, or convert again with a Python of --check-with whose runtime works",
    "no-cell-picture": "give --cells one, or convert again with --cell-window",
}

EXCLUSION_ADVICE = {  # kind of an exclusion -> what may help
    "size unknown": "--cell-diameter tells the scale of a field with too few red cells",
    "cell diameter contradicts the field": "check --cell-diameter, or leave it out",
    "a whole field, not one cell": "--cells one classifies it whole; --cell-window at conversion lets its cells be found",
}
