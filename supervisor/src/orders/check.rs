//! A look at a configuration that is not to be put in force.

use std::{path::Path, time::Duration};

use tokio::{task::spawn_blocking, time::timeout};
use tpp::config::{Config, Format, Problems, ProcessVars, parse};

use super::Orders;

/// How long the files that it names may take to be read.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// What it is called in messages.
const NAME: &str = "the body";

impl Orders {
    /// Reads `text` as if it stood in place of the configuration file: what it names is looked for beside that.
    ///
    /// # Errors
    /// What is wrong with it; or, on the outside, that it could not be read in time.
    pub(crate) async fn check(
        &self,
        text: String,
        format: Format,
    ) -> Result<Result<Config, Problems>, String> {
        let file = &self.outlook.config_file;
        let directory = file.parent().unwrap_or(Path::new("/")).to_owned();
        let reading =
            spawn_blocking(move || parse(&text, Path::new(NAME), format, &directory, &ProcessVars));
        match timeout(READ_TIMEOUT, reading).await {
            Ok(Ok(checked)) => Ok(checked),
            Ok(Err(error)) => Err(format!("{NAME} cannot be read: {error}")),
            Err(_) => Err(format!(
                "a file that it names was not read within {READ_TIMEOUT:?}"
            )),
        }
    }
}
