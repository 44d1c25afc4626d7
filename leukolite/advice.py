"""What a person at the command line can do about an error: the options that help, which the core does not know."""

ADVICE = {
    "allow-cpu": "or allow that with --allow-cpu",
    "camera-size": "choose another --camera-size",
    "camera-size-kinds": "--camera-size is for picamera2 and v4l2 cameras",
    "camera-size-of-its-own": "ask for that with --camera-size",
    "cells-of-field": "--cells is for bundles that classify cells, leave it out",
    "edgetpu": "give --runtime edgetpu",
    "finding-of-field": "--cell-diameter and --channel are for bundles that classify cells, leave them out",
    "list-cameras": "edge-run --list-cameras shows what is plugged in",
    "no-cell-picture": "give --cells one, or convert again with --cell-window",
}

EXCLUSION_ADVICE = {  # kind of an exclusion -> what may help
    "size unknown": "--cell-diameter tells the scale of a field with too few red cells",
    "cell diameter contradicts the field": "check --cell-diameter, or leave it out",
    "a whole field, not one cell": "--cells one classifies it whole; --cell-window at conversion lets its cells be found",
}
