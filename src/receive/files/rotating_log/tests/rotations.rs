//! Rotations with compression, files that are missing, and writers that are late.

use super::*;

/// logrotate's default is to compress at once, and with `delaycompress` a rotation later.
#[test]
fn rotated_files_that_were_compressed_while_nothing_was_read_are_read() {
    for (restarts, compressed) in [(false, 0), (false, 1), (false, 2), (true, 0), (true, 1), (true, 2)] {
        let mut world = World::new(restarts);
        world.append(&message(0));
        world.has_read(0..1);
        world.append(&message(1));
        for (id, name) in [(2, "mail.log.3"), (3, "mail.log.2"), (4, "mail.log.1")] {
            world.rename("mail.log", name);
            world.append(&message(id));
        }
        for name in ["mail.log.3", "mail.log.2", "mail.log.1"].iter().take(compressed + 1) {
            world.compress(name, ".gz");
        }
        world.has_read(0..5);
        world.append(&message(5));
        world.has_read(0..6);
        assert_eq!((world.losses.len(), world.unreadable), (0, 0), "{:?}", world.losses);
    }
}

#[test]
fn a_compressed_file_is_not_read_while_it_is_written() {
    let mut world = World::new(true);
    world.append(&message(0));
    world.has_read(0..1);
    world.append(&message(1));
    world.rename("mail.log", "mail.log.1");
    world.append(&message(2));
    std::fs::write(world.path("mail.log.1.gz"), "half").unwrap();
    world.has_read(0..3);
    assert_eq!((world.losses.len(), world.unreadable), (0, 0), "{:?}", world.losses);
}

#[test]
fn a_file_that_was_compressed_after_it_was_read_is_not_read_again() {
    let mut world = World::new(false);
    for id in 0..4 {
        world.append(&message(id));
        world.has_read(0..id + 1);
        world.rename("mail.log", &format!("mail.log-2026112{id}"));
        world.compress(&format!("mail.log-2026112{id}"), ".gz");
        world.has_read(0..id + 1);
    }
    assert!(world.losses.is_empty(), "{:?}", world.losses);
}

#[test]
fn files_that_cannot_be_read_are_reported() {
    for restarts in [false, true] {
        let mut world = World::new(restarts);
        world.append(&message(0));
        world.has_read(0..1);
        for (id, name) in [(1, "mail.log.3"), (2, "mail.log.2"), (3, "mail.log.1")] {
            world.append(&message(id));
            world.rename("mail.log", name);
        }
        world.append(&message(4));
        world.compress("mail.log.2", ".xz");
        world.read_all();
        assert_eq!(world.found, [0, 1, 3, 4].map(|id| (id, true)));
        let losses = world.losses.concat();
        assert!(world.losses.len() == 1 && losses.contains("mail.log.2.xz") && losses.contains("not by gzip"), "{losses}");
        // A compressed file that is damaged, of which everything before is read.
        world.append(&(5..100).map(message).collect::<String>());
        world.rename("mail.log", "mail.log.0");
        world.append(&message(100));
        world.compress("mail.log.0", ".gz");
        let compressed = std::fs::read(world.path("mail.log.0.gz")).unwrap();
        if restarts {
            let modified = std::fs::metadata(world.path("mail.log.0.gz")).unwrap().modified().unwrap();
            std::fs::write(world.path("mail.log.0.gz"), &compressed[..compressed.len() - 9]).unwrap();
            File::open(world.path("mail.log.0.gz")).unwrap().set_modified(modified).unwrap();
        }
        world.read_all();
        assert_eq!((world.losses.len(), world.unreadable), (1 + usize::from(restarts), u64::from(restarts)), "{:?}", world.losses);
        assert!(world.found.contains(&(90, true)) && world.found.contains(&(100, true)), "{:?}", world.found);
    }
}

/// The file with the position was removed: reading continues with the oldest file that was changed later.
#[test]
fn after_a_file_that_is_missing_the_next_one_is_read() {
    let mut world = World::new(true);
    world.append(&message(0));
    world.make_older("mail.log");
    world.has_read(0..1);
    for (id, name) in [(1, "mail.log.3"), (2, "mail.log.2"), (3, "mail.log.1")] {
        world.append(&message(id));
        world.rename("mail.log", name);
    }
    world.append(&message(4));
    std::fs::remove_file(world.path("mail.log.3")).unwrap();
    world.read_all();
    assert_eq!(world.found, [0, 2, 3, 4].map(|id| (id, true)));
    assert_eq!(world.losses.len(), 1, "{:?}", world.losses);
}

#[test]
fn a_log_that_was_empty_and_is_copied_and_truncated_is_followed() {
    for (restarts, extension) in [(false, ""), (true, ""), (false, ".gz"), (true, ".gz")] {
        let mut world = World::new(restarts);
        world.append(&message(9));
        world.rename("mail.log", "mail.log.3");
        world.append("");
        world.make_older("mail.log");
        world.has_read(0..0);
        for (id, name) in [(0, "mail.log.2"), (1, "mail.log.1")] {
            world.append(&message(id));
            world.copy_and_truncate(name);
        }
        world.append(&message(2));
        if !extension.is_empty() {
            world.compress("mail.log.2", extension);
        }
        world.has_read(0..3);
        // Renamed, from empty.
        world.rename("mail.log", "mail.log.0");
        world.append("");
        world.has_read(0..3);
        world.append(&message(3));
        world.rename("mail.log", "mail.log-20261128");
        world.append(&message(4));
        world.has_read(0..5);
        assert!(world.losses.is_empty(), "{:?}", world.losses);
    }
}

#[test]
fn a_copy_that_is_compressed_at_once_is_read() {
    for restarts in [false, true] {
        let mut world = World::new(restarts);
        world.append(&message(0));
        world.has_read(0..1);
        world.append(&message(1));
        world.copy_and_truncate("mail.log.1");
        world.compress("mail.log.1", ".gz");
        world.append(&message(2));
        world.has_read(0..3);
        assert!(world.losses.is_empty(), "{:?}", world.losses);
        // By a program whose output cannot be read.
        world.append(&message(3));
        world.copy_and_truncate("mail.log.0");
        world.compress("mail.log.0", ".xz");
        world.append(&message(4));
        world.read_all();
        assert_eq!(world.found[3..], [(4, true)]);
        assert!(world.losses[0].starts_with("records may be missing: "), "{:?}", world.losses);
    }
}

#[test]
fn a_copy_of_an_empty_log_that_cannot_be_read_is_reported() {
    for restarts in [false, true] {
        let mut world = World::new(restarts);
        world.append("");
        world.make_older("mail.log");
        world.has_read(0..0);
        world.append(&message(9));
        world.copy_and_truncate("mail.log.1");
        world.compress("mail.log.1", ".zst");
        world.append(&message(0));
        world.has_read(0..1);
        assert!(world.losses.len() == 1 && world.losses[0].contains("mail.log.1.zst"), "{:?}", world.losses);
    }
}

/// The clock was set back between two rotations.
#[test]
fn a_rotated_file_with_an_older_time_is_read() {
    for restarts in [false, true] {
        let names = ["mail.log-20261127", "mail.log-20261128"];
        let mut world = World::new(restarts);
        world.append(&message(0));
        world.has_read(0..1);
        for (id, name) in [(1, names[0]), (2, names[1])] {
            world.append(&message(id));
            world.rename("mail.log", name);
        }
        world.append(&message(3));
        File::open(world.path(names[1])).unwrap().set_modified(SystemTime::now() - Duration::from_secs(50_000)).unwrap();
        world.has_read(0..4);
        assert!(world.losses.is_empty(), "{:?}", world.losses);
    }
}

/// One of two writers opens the new file later than the other one.
#[test]
fn lines_that_are_written_to_a_renamed_log_after_the_next_one_has_begun_are_reported() {
    let mut world = World::new(false);
    world.append(&message(0));
    world.has_read(0..1);
    world.rename("mail.log", "mail.log.2");
    world.append(&message(1));
    world.has_read(0..2);
    world.append_to("mail.log.2", &message(8));
    world.has_read(0..2);
    assert!(world.losses.is_empty(), "{:?}", world.losses);
    // After a minute, or at the next rotation.
    for (later, name) in [(61, None), (0, Some("mail.log.1")), (0, Some("mail.log.0"))] {
        world.later += Duration::from_secs(later);
        if let Some(name) = name {
            world.rename("mail.log", name);
            world.append(&message(world.found.len() as u64));
            world.has_read(0..world.found.len() as u64 + 1);
            world.append_to(name, &message(8));
        }
        world.read_all();
    }
    let losses = world.losses.concat();
    let expected = format!("{} bytes were written to the log before ", message(8).len());
    assert!(world.losses.len() == 2 && losses.matches(&expected).count() == 2, "{losses}");
}

/// Both are empty, or more than are remembered.
#[test]
fn rotated_files_with_the_same_time_are_read_once() {
    for (files, is_empty) in [(2, true), (35, false)] {
        for restarts in [false, true] {
            let mut world = World::new(restarts);
            world.append(&message(0));
            world.has_read(0..1);
            world.rename("mail.log", "mail.log.99");
            let time = SystemTime::now() - Duration::from_secs(1_000);
            for number in 1..=files {
                let name = format!("mail.log.{number}");
                world.append_to(&name, &if is_empty { String::new() } else { message(files + 1 - number) });
                File::open(world.path(&name)).unwrap().set_modified(time).unwrap();
                world.compress(&name, ".gz");
            }
            let read = if is_empty { 1 } else { files + 1 };
            world.append(&message(read));
            world.has_read(0..read + 1);
            world.append(&message(read + 1));
            world.has_read(0..read + 2);
            assert!(world.losses.is_empty(), "{:?}", world.losses);
        }
    }
}

/// Two rotations while nothing was read, and a program that still writes to the oldest file.
#[test]
fn a_file_that_is_older_than_the_last_line_of_the_one_before_is_read() {
    for (restarts, is_compressed) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut world = World::new(false);
        world.append(&message(0));
        world.make_older("mail.log");
        world.has_read(0..1);
        world.append(&message(1));
        world.rename("mail.log", "mail.log.2");
        world.append(&message(3));
        world.rename("mail.log", "mail.log.1");
        world.append_to("mail.log.2", &message(2));
        world.append(&message(4));
        if is_compressed {
            world.compress("mail.log.2", ".gz");
        }
        if restarts {
            world.log = None;
        }
        world.has_read(0..5);
        assert!(world.losses.is_empty(), "{:?}", world.losses);
    }
}

#[test]
fn rotated_files_next_to_a_log_that_is_empty_at_the_first_start_are_not_read() {
    for restarts in [false, true] {
        let mut world = World::new(restarts);
        world.append_to("mail.log.1", &message(8));
        world.append("");
        // The log was created before the last line of the renamed one.
        world.make_older("mail.log");
        world.has_read(0..0);
        world.append(&message(0));
        world.has_read(0..1);
        assert!(world.losses.is_empty(), "{:?}", world.losses);
    }
}

/// The files of an image may have the time 0.
#[test]
fn at_a_position_without_a_time_in_an_empty_log_no_rotated_file_is_read() {
    let mut world = World::new(true);
    for (id, name) in [(8, "mail.log.2"), (9, "mail.log.1")] {
        world.append(&message(id));
        world.rename("mail.log", name);
    }
    world.append("");
    world.has_read(0..0);
    let mut positions = Positions::decode(&world.saved).unwrap();
    positions.files[0].changed_nanos = 0;
    world.saved = positions.encode();
    world.append(&message(0));
    world.has_read(0..1);
    assert!(world.losses.is_empty(), "{:?}", world.losses);
}

#[test]
fn after_a_change_of_the_path_the_log_is_read_from_its_start_or_found() {
    for is_renamed in [false, true] {
        let mut world = World::new(true);
        world.append(&message(0));
        world.has_read(0..1);
        let mut positions = Positions::decode(&world.saved).unwrap();
        positions.path = b"/var/log/other.log".to_vec();
        world.saved = positions.encode();
        if is_renamed {
            world.append(&message(1));
            world.has_read(0..2);
            assert!(world.losses.is_empty(), "{:?}", world.losses);
            continue;
        }
        // Another log, with a rotated file that belongs to it.
        std::fs::remove_file(world.path("mail.log")).unwrap();
        world.append_to("mail.log.1", &message(8));
        world.append(&message(1));
        world.has_read(0..2);
        let losses = world.losses.concat();
        assert!(world.losses.len() == 1 && losses.contains("the path of the log was /var/log/other.log before"), "{losses}");
    }
}
