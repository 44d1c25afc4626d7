"""The machine beside the microscope: its health, a runtime that hangs, signals, systemd."""
