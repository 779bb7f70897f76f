//! A started program ends with its starter, however that goes.

use std::{
    env, fs,
    path::Path,
    time::{Duration, Instant},
};

use keybaton_test_support::{Error, Launch, Scratch, Signal};

const SOON: Duration = Duration::from_secs(10);
/// Tells a test that it was started by itself, to be killed; its value is the folder to report in.
const KILLED_STARTER: &str = "KEYBATON_KILLED_STARTER";

fn shell(script: &str) -> Launch {
    Launch::new("shell", "/bin/sh").args(["-c", script])
}

fn runs(process_id: &str) -> bool {
    // A killed process that nobody has waited for yet is a zombie: state Z in proc_pid_stat(5).
    let stat = fs::read_to_string(format!("/proc/{process_id}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

async fn written(path: &Path) -> String {
    let begun = Instant::now();
    loop {
        if let Ok(text) = fs::read_to_string(path)
            && text.ends_with('\n')
        {
            return text.trim().to_owned();
        }
        assert!(begun.elapsed() < SOON, "nobody wrote {}", path.display());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn gone(process_id: &str) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < SOON {
        if !runs(process_id) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    false
}

#[tokio::test]
async fn output_input_environment_and_status_are_the_programs_own() {
    let folder = Scratch::new("process", None).unwrap();
    let launch = shell("read -r line; echo \"$line $GREETED\"; pwd >&2; exit 7");
    let launch = launch.env("GREETED", "world").input("hello\n").folder(folder.path());
    let mut process = launch.start(folder.path()).unwrap();
    let status = process.wait(SOON).await.unwrap();
    assert_eq!(status.code(), Some(7));
    assert_eq!(process.stdout(), "hello world\n");
    assert_eq!(process.stderr().trim(), folder.path().to_str().unwrap());
}

#[tokio::test]
async fn a_kill_reaches_the_processes_that_the_program_has_started() {
    let folder = Scratch::new("process", None).unwrap();
    let mut process = shell("sleep 600 & echo $! ; wait").start(folder.path()).unwrap();
    let sleeper = written(process.logs()[0]).await;
    assert!(runs(&sleeper));
    process.kill().unwrap();
    assert!(gone(&sleeper).await, "the sleeper outlived the kill");
}

#[tokio::test]
async fn a_drop_kills_too() {
    let folder = Scratch::new("process", None).unwrap();
    let process = shell("sleep 600 & echo $! ; wait").start(folder.path()).unwrap();
    let sleeper = written(process.logs()[0]).await;
    drop(process);
    assert!(gone(&sleeper).await, "the sleeper outlived the drop");
}

#[tokio::test]
async fn a_program_that_ignores_sigterm_is_named_and_killed() {
    let folder = Scratch::new("process", None).unwrap();
    let mut process = shell("trap '' TERM; echo ready; while :; do sleep 0.05; done").start(folder.path()).unwrap();
    written(process.logs()[0]).await;
    let outcome = process.stop(Signal::TERM, Duration::from_millis(300)).await;
    assert!(matches!(outcome, Err(Error::StillRunning { .. })), "{outcome:?}");
    assert!(process.ended().unwrap().is_some());
    assert!(!process.group_lives());
}

#[tokio::test]
async fn a_program_that_heeds_sigterm_ends_in_its_own_way() {
    let folder = Scratch::new("process", None).unwrap();
    let mut process =
        shell("trap 'exit 3' TERM; echo ready; while :; do sleep 0.05; done").start(folder.path()).unwrap();
    written(process.logs()[0]).await;
    assert_eq!(process.stop(Signal::TERM, SOON).await.unwrap().code(), Some(3));
}

#[tokio::test]
async fn what_a_killed_starter_has_started_is_killed_too() {
    if let Some(folder) = env::var_os(KILLED_STARTER) {
        return be_killed(Path::new(&folder)).await;
    }
    let folder = Scratch::new("process", None).unwrap();
    let mut starter = Launch::new("starter", env::current_exe().unwrap())
        .args(["--exact", "what_a_killed_starter_has_started_is_killed_too"])
        .env(KILLED_STARTER, folder.path())
        .start(folder.path())
        .unwrap();
    let sleeper = written(&folder.join("sleeper.out")).await;
    assert!(runs(&sleeper));
    // The sleeper may say its number before it is watched over.
    written(&folder.join("started")).await;
    starter.kill().unwrap();
    assert!(gone(&sleeper).await, "the sleeper outlived its starter");
}

/// The other half of the test above: starts a sleeper and waits for the end.
async fn be_killed(folder: &Path) {
    let launch = Launch::new("sleeper", "/bin/sh").args(["-c", "echo $$; exec sleep 600"]);
    let _sleeper = launch.start(folder).expect("sh is there");
    fs::write(folder.join("started"), "it is\n").expect("the folder is the test's own");
    tokio::time::sleep(Duration::from_secs(600)).await;
}
