//! Damages as a command shows them: one object each for programs, one line each for people.

use anyhow::Result;
use hashdb::Damage;
use serde::Serialize;

use crate::output::Output;
use crate::text;

/// One damage, as a field of an answer.
#[derive(Debug, Serialize)]
pub(crate) struct DamageLine {
    path: String,
    description: String,
}

/// The damages of a report, in its order.
pub(crate) fn lines(damages: &[Damage]) -> Vec<DamageLine> {
    let line = |damage: &Damage| DamageLine {
        path: damage.path.display().to_string(),
        description: damage.description.clone(),
    };
    damages.iter().map(line).collect()
}

/// Prints them, a line each.
pub(crate) fn show(output: &mut Output, damages: &[DamageLine]) -> Result<()> {
    for DamageLine { path, description } in damages {
        // Errors of the engine name the path themselves.
        let line = match description.contains(path.as_str()) {
            true => description.clone(),
            false => format!("{path}: {description}"),
        };
        output.line(text::one_line(&line))?;
    }
    Ok(())
}
