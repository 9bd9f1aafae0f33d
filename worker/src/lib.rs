//! placeholder until the data plane lands
#[derive(clap::Args, Debug)]
#[allow(missing_docs, reason = "placeholder")]
pub struct WorkerArgs {
    #[arg(long)]
    pub seat: usize,
    #[arg(long)]
    pub epoch: u64,
    #[arg(long)]
    pub seats: usize,
    #[arg(long)]
    pub listen: Vec<String>,
}
#[allow(missing_docs, clippy::missing_errors_doc, reason = "placeholder")]
pub fn run(_: WorkerArgs) -> anyhow::Result<()> {
    Ok(())
}
