//! The versions stand in two files that installers read; the README tells them to people.

use super::scripts;

fn file(name: &str) -> String {
    std::fs::read_to_string(scripts().join(name)).expect("it is in the repository")
}

#[test]
fn the_readme_tells_the_pinned_versions() {
    let python = file("requirements.txt");
    let python =
        python.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once("=="));
    let node = file("package.json").replace(['"', ',', ' '], "");
    let node = node.split_once("dependencies:{").expect("it has dependencies").1.to_owned();
    let node = node.lines().filter_map(|line| line.split_once(':'));
    let readme = file("README.md");
    let mut told = 0;
    for (name, version) in python.take(5).chain(node) {
        assert!(readme.contains(&format!("{name} {version}")), "README.md lacks {name} {version}");
        told += 1;
    }
    assert_eq!(told, 8, "five of Python, three of JavaScript");
}
