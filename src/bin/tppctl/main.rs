//! tppctl: looks at a running tpp and steers it.

fn main() {}
