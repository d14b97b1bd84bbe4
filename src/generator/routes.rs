//! Where each region currently reaches each route. Workers read one number per request; the
//! directory thread writes it.

use crate::plan::{RegionPlan, RoutePlan};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};

/// Every address the load may dial, and which of them each region's route means at the moment.
#[derive(Debug)]
pub(super) struct Routes {
    addresses: Vec<SocketAddr>,
    /// By region and route: an index into `addresses`.
    current: Vec<AtomicU32>,
    routes_per_region: usize,
    pub(super) directories: Vec<DirectoryRoute>,
}

/// A route whose address a directory decides.
#[derive(Clone, Debug)]
pub(super) struct DirectoryRoute {
    pub slot: usize,
    pub region: String,
    pub ask: SocketAddr,
    /// Edge name and its address's index, nearest first.
    pub edges: Vec<(String, u32)>,
}

impl Routes {
    /// `None` when a region lacks a route, or a route an address.
    pub fn new(regions: &[RegionPlan]) -> Option<Routes> {
        let routes_per_region = regions.first()?.routes.len();
        let mut routes = Routes {
            addresses: Vec::new(),
            current: Vec::new(),
            routes_per_region,
            directories: Vec::new(),
        };
        for region in regions {
            if region.routes.len() != routes_per_region {
                return None;
            }
            for route in &region.routes {
                let first = routes.add(&region.name, route)?;
                routes.current.push(AtomicU32::new(first));
            }
        }
        Some(routes)
    }

    /// The index of the address a route begins with: the nearest, before a directory has answered.
    fn add(&mut self, region: &str, route: &RoutePlan) -> Option<u32> {
        match route {
            RoutePlan::Fixed(address) => Some(self.index_of(*address)),
            RoutePlan::Directory { ask, edges } => {
                let edges: Vec<(String, u32)> =
                    edges.iter().map(|(name, at)| (name.clone(), self.index_of(*at))).collect();
                let first = edges.first()?.1;
                let slot = self.current.len();
                let region = region.to_string();
                self.directories.push(DirectoryRoute { slot, region, ask: *ask, edges });
                Some(first)
            }
        }
    }

    fn index_of(&mut self, address: SocketAddr) -> u32 {
        let known = self.addresses.iter().position(|a| *a == address);
        known.unwrap_or_else(|| {
            self.addresses.push(address);
            self.addresses.len() - 1
        }) as u32
    }

    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    pub fn routes_per_region(&self) -> usize {
        self.routes_per_region
    }

    #[inline]
    pub fn slot(&self, region: usize, route: usize) -> usize {
        region * self.routes_per_region + route
    }

    /// The index of the address that a slot means now.
    #[inline]
    pub fn current(&self, slot: usize) -> u32 {
        self.current[slot].load(Ordering::Relaxed)
    }

    pub fn set(&self, slot: usize, address: u32) {
        self.current[slot].store(address, Ordering::Relaxed);
    }
}
