// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tour of `cargo xtask demo`, which ends with the module unloaded.

use lunatik_tests::sh;

#[test]
fn the_tour_succeeds() {
    let tour = sh("cd /files/examples && exec sh demo.sh");
    sh("modprobe lunatik").success();
    tour.success();
}
