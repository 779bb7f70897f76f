//! The shape of every Rust file: what it begins with, how long it and its functions are, what must not be in it.

use std::path::Path;

use proc_macro2::Span;
use syn::{
    Attribute, ImplItemFn, Item, ItemFn, ItemMod, TraitItemFn,
    spanned::Spanned,
    visit::{self, Visit},
};

use crate::repository::{assert_none, files, read, root};

const FILE_LINES: usize = 500;
const FUNCTION_LINES: usize = 70;

/// Put together so that this file does not break its own rule.
const FORBIDDEN: [&str; 7] = [
    concat!("todo", "!("),
    concat!("unimplemented", "!("),
    concat!("#[", "ignore"),
    concat!("allow(", "dead_code"),
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("dbg", "!("),
];

/// Test code may be long; everything else here holds for it too.
fn is_test_code(path: &Path) -> bool {
    let fixtures = path.starts_with("tests/support/src");
    !fixtures && (path.components().any(|part| part.as_os_str() == "tests") || path.ends_with("tests.rs"))
}

fn breaches(path: &Path, source: &str) -> Vec<String> {
    let name = path.display();
    let mut breaches = Vec::new();
    if !source.starts_with("//!") {
        breaches.push(format!("{name}: does not begin with `//!`"));
    }
    for (number, line) in (1..).zip(source.lines()) {
        for forbidden in FORBIDDEN.iter().filter(|forbidden| line.contains(**forbidden)) {
            breaches.push(format!("{name}:{number}: holds `{forbidden}`"));
        }
    }
    match syn::parse_file(source) {
        Err(error) => breaches.push(format!("{name}: is no Rust: {error}")),
        Ok(file) if !is_test_code(path) => breaches.extend(too_long(path, source, &file)),
        Ok(_) => {}
    }
    breaches
}

fn too_long(path: &Path, source: &str, file: &syn::File) -> Vec<String> {
    let name = path.display();
    let tests: usize = file.items.iter().filter(|item| is_test_item(item)).map(|item| lines(item.span())).sum();
    let length = source.lines().count() - tests;
    let mut functions = Functions::default();
    functions.visit_file(file);
    let long = functions.found.into_iter().filter(|(_, _, length)| *length > FUNCTION_LINES);
    let mut breaches: Vec<String> =
        long.map(|(function, line, length)| format!("{name}:{line}: `{function}` has {length} lines")).collect();
    if length > FILE_LINES {
        breaches.push(format!("{name}: has {length} lines outside its tests"));
    }
    breaches
}

fn is_test_item(item: &Item) -> bool {
    matches!(item, Item::Mod(module) if is_for_tests(&module.attrs))
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let mut test = attribute.path().is_ident("test");
        if attribute.path().is_ident("cfg") {
            // Whatever else the condition says is no concern of this rule.
            let _ = attribute.parse_nested_meta(|meta| {
                test |= meta.path.is_ident("test");
                Ok(())
            });
        }
        test
    })
}

fn lines(span: Span) -> usize {
    span.end().line - span.start().line + 1
}

/// Name, line and length of every function outside tests.
#[derive(Default)]
struct Functions {
    found: Vec<(String, usize, usize)>,
}

impl Functions {
    fn note(&mut self, signature: &syn::Signature, body: &syn::Block) {
        let first = signature.span().start().line;
        self.found.push((signature.ident.to_string(), first, body.span().end().line - first + 1));
    }
}

impl<'a> Visit<'a> for Functions {
    fn visit_item_mod(&mut self, module: &'a ItemMod) {
        if !is_for_tests(&module.attrs) {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_fn(&mut self, function: &'a ItemFn) {
        if !is_for_tests(&function.attrs) {
            self.note(&function.sig, &function.block);
            visit::visit_item_fn(self, function);
        }
    }

    fn visit_impl_item_fn(&mut self, function: &'a ImplItemFn) {
        self.note(&function.sig, &function.block);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'a TraitItemFn) {
        if let Some(body) = &function.default {
            self.note(&function.sig, body);
        }
        visit::visit_trait_item_fn(self, function);
    }
}

#[test]
fn every_rust_file_keeps_the_house_rules() {
    let rust = files(root()).into_iter().filter(|path| path.extension().is_some_and(|kind| kind == "rs"));
    let found: Vec<String> = rust.flat_map(|path| breaches(&path, &read(&root().join(&path)))).collect();
    assert_none(&found);
}

#[test]
fn each_rule_catches_what_breaks_it() {
    let long = |lines: usize| "    let _ = 1;\n".repeat(lines);
    let check = |path: &str, source: &str| breaches(Path::new(path), source);
    let well = format!("//! x\nfn f() {{\n{}}}\n", long(FUNCTION_LINES - 2));
    let table = [
        ("a function of just the greatest length", "src/a.rs", well.clone(), 0),
        ("one line more", "src/a.rs", format!("//! x\nfn f() {{\n{}}}\n", long(FUNCTION_LINES - 1)), 1),
        ("the same as a method", "src/a.rs", format!("//! x\nimpl X {{ fn f() {{\n{}}} }}\n", long(FUNCTION_LINES)), 1),
        ("the same in a trait", "src/a.rs", format!("//! x\ntrait X {{ fn f() {{\n{}}} }}\n", long(FUNCTION_LINES)), 1),
        ("the same in a test", "tests/a.rs", format!("//! x\nfn f() {{\n{}}}\n", long(FUNCTION_LINES)), 0),
        (
            "the same in a fixture",
            "tests/support/src/a.rs",
            format!("//! x\nfn f() {{\n{}}}\n", long(FUNCTION_LINES)),
            1,
        ),
        (
            "the same in a module of tests",
            "src/a.rs",
            format!("//! x\n#[cfg(test)]\nmod t {{ fn f() {{\n{}}} }}\n", long(FUNCTION_LINES)),
            0,
        ),
        ("a file without its sentence", "src/a.rs", well.replace("//! x", "// x"), 1),
        ("a file that is too long", "src/a.rs", format!("//! x\n{}", "const _: u8 = 1;\n".repeat(FILE_LINES)), 1),
        ("a forbidden word", "tests/a.rs", format!("//! x\n{}\nfn f() {{}}\n", FORBIDDEN[2].to_owned() + "]"), 1),
        ("what is no Rust", "src/a.rs", "//! x\nfn {".into(), 1),
    ];
    for (name, path, source, expected) in table {
        let found = check(path, &source);
        assert_eq!(found.len(), expected, "{name}: {found:?}");
    }
}
