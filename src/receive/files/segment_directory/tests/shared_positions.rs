//! More segments than positions that are saved.

use super::*;

#[test]
fn old_positions_are_shared() {
    let mut world = World::new(true);
    let total = POSITIONS_MAX as u64 + 5;
    for id in 0..total {
        let mut writer = Writer::open(world.path(), &format!("20261128-{id:06}.0"));
        writer.write(id);
        writer.finish();
    }
    world.has_read(0..total);
    let positions = Positions::decode(&world.saved).unwrap();
    assert_eq!((positions.files.len(), positions.read_until), (POSITIONS_MAX, b"20261128-000004.0".to_vec()));
    world.has_read(0..total);
    // The clock of the writer is set back.
    world.restarts = false;
    world.has_read(0..total);
    let mut writer = Writer::open(world.path(), "20261127-000000.0");
    writer.write(total);
    writer.finish();
    world.has_read(0..total + 1);
    assert_eq!(Positions::decode(&world.saved).unwrap().read_until, b"20261128-000004.0");
    world.restarts = true;
    world.has_read(0..total + 1);
}
