"""The control process: compiles and publishes the configuration, and tells how the family is doing. No traffic."""
