fn main() -> std::process::ExitCode {
    brunt::cli::main()
}
