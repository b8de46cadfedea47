//! onprem
