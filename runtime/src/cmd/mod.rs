//! One file per verb, or per family of verbs that share their work.

mod archive;
mod build;
mod completion;
mod copy;
mod df;
mod each;
mod events;
mod exec;
mod image;
mod info;
mod inspect;
mod logs;
mod manual;
mod network;
mod network_capture;
mod network_check;
mod network_dot;
mod network_graph;
mod network_show;
mod network_stats;
mod network_why;
mod node;
mod prune;
mod ps;
mod registry;
mod run;
mod stats;
mod stop;
mod system;
mod volume;
mod web;

use crate::cli::container::{ContainerCommand, ContainerGroup};
use crate::cli::{Cli, Command, InstanceArgs};
use rcr_base::Outcome;
use rcr_engine::instance::Instance;

/// Runs one command; the exit code. `began`: when the program did (`rcr_base::timings`).
pub fn run(cli: Cli, began: u64) -> Outcome<i32> {
    let InstanceArgs { root, run, config } = &cli.instance;
    let instance = Instance::open(root, run, config.as_deref())?;
    match cli.command {
        Command::Container(command) => container(&instance, command, began),
        Command::ContainerGroup(group) => match group.into_inner() {
            ContainerGroup::Verb(command) => container(&instance, command, began),
            ContainerGroup::Ls(args) => ps::ps(&instance, &args),
            ContainerGroup::Inspect(args) => inspect::containers(&instance, &args),
            ContainerGroup::Prune(args) => prune::containers(&instance, &args),
        },
        Command::Healthcheck(command) => exec::healthcheck(&instance, &command),
        Command::Image(command) => image::image(&instance, command.into_inner()),
        Command::Images(args) => image::list(&instance, &args),
        Command::Rmi(args) => image::remove(&instance, &args),
        Command::Transfer(command) => image::transfer(&instance, command),
        Command::Login(args) => registry::login(&instance, &args),
        Command::Logout(args) => registry::logout(&instance, &args),
        Command::Builder(command) => build::builder(&instance, command.into_inner()),
        Command::Network(command) => network::network(&instance, command.into_inner()),
        Command::Volume(command) => volume::volume(&instance, command.into_inner()),
        Command::Node(command) => node::node(&instance, &command),
        Command::System(command) => system::system(&instance, &command),
        Command::Events(args) => events::events(&instance, &args),
        Command::Web(args) => web::web(&instance, &args),
        Command::Inspect(args) => inspect::inspect(&instance, &args),
        Command::Version(args) => info::version(&instance, &args),
        Command::Info(args) => info::info(&instance, &args),
        Command::Completion(args) => completion::print(&args.shell),
        Command::Manual(args) => manual::write(&args.folder),
    }
}

fn container(instance: &Instance, command: ContainerCommand, began: u64) -> Outcome<i32> {
    match command {
        ContainerCommand::Run(args) => run::run(instance, args.into_inner(), began),
        ContainerCommand::Create(args) => run::create(instance, args.into_inner()),
        ContainerCommand::Start(args) => run::start(instance, &args),
        ContainerCommand::Stop(args) => stop::stop(instance, &args),
        ContainerCommand::Restart(args) => stop::restart(instance, &args),
        ContainerCommand::Kill(args) => stop::kill(instance, &args),
        ContainerCommand::Rm(args) => stop::rm(instance, &args),
        ContainerCommand::Wait(args) => stop::wait(instance, &args),
        ContainerCommand::Pause(args) => stop::pause(instance, &args),
        ContainerCommand::Unpause(args) => stop::unpause(instance, &args),
        ContainerCommand::Update(args) => stop::update(instance, &args),
        ContainerCommand::Top(args) => ps::top(instance, &args),
        ContainerCommand::Ps(args) => ps::ps(instance, &args),
        ContainerCommand::Stats(args) => stats::stats(instance, &args),
        ContainerCommand::Logs(args) => logs::logs(instance, &args),
        ContainerCommand::Exec(args) => exec::exec(instance, &args),
        ContainerCommand::Attach(args) => run::attach(instance, &args),
        ContainerCommand::Port(args) => ps::port(instance, &args),
        ContainerCommand::Rename(args) => stop::rename(instance, &args),
        ContainerCommand::Cp(args) => copy::cp(instance, &args),
        ContainerCommand::Diff { name } => copy::diff(instance, &name),
        ContainerCommand::Export(args) => copy::export(instance, &args),
        ContainerCommand::Commit(args) => copy::commit(instance, &args),
    }
}
