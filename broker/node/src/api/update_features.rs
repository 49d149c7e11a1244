//! UpdateFeatures, v0–v2: raises or lowers the levels of features that clients go by.
//!
//! Behaviour: all or nothing. A level falls only where the request says that it may.
//!
//! References: KIP-584, KIP-778.

use std::borrow::Cow;
use std::sync::Arc;

use aquifer_broker_protocol::ErrorCode;
use aquifer_broker_protocol::message::update_features::{
    FeatureUpdateKey, UpdatableFeatureResult, UpdateFeaturesRequest, UpdateFeaturesResponse,
};

use crate::context::RequestContext;
use crate::features;

const UPGRADE: i8 = 1;
const SAFE_DOWNGRADE: i8 = 2;
const UNSAFE_DOWNGRADE: i8 = 3;

/// Answers the request.
pub(crate) async fn handle<'a>(
    ctx: &RequestContext,
    request: UpdateFeaturesRequest<'a>,
) -> UpdateFeaturesResponse<'a> {
    let finalized = ctx.node.hosting.image();
    let (node_id, version) = (ctx.node.settings.node_id, ctx.api_version);
    let levels = request.feature_updates.iter().map(|update| {
        let current = finalized.features.get(&*update.feature).copied().unwrap_or_default();
        check(update, current, version, node_id)?;
        Ok((Arc::from(&*update.feature), update.max_version_level.max(0)))
    });
    let refused = |code: ErrorCode, message: String| UpdateFeaturesResponse {
        error_code: code.code(),
        error_message: Some(Cow::Owned(message)),
        ..UpdateFeaturesResponse::default()
    };
    let levels = match levels.collect::<Result<Vec<_>, String>>() {
        Ok(levels) => levels,
        Err(reason) => {
            let message = format!(
                "The update failed for all features since the following feature had an error: {reason}"
            );
            return refused(ErrorCode::InvalidUpdateVersion, message);
        }
    };
    if !request.validate_only
        && let Err(refusal) = ctx.node.hosting.finalize_features(levels).await
    {
        return refused(refusal.code, refusal.message);
    }
    let results = request.feature_updates.into_iter().map(|update| UpdatableFeatureResult {
        feature: update.feature,
        error_message: Some(Cow::Borrowed("NONE")),
        ..UpdatableFeatureResult::default()
    });
    UpdateFeaturesResponse { results: results.collect(), ..UpdateFeaturesResponse::default() }
}

/// Refuses what this node cannot do, and a level that falls unasked.
fn check(
    update: &FeatureUpdateKey<'_>,
    current: i16,
    version: i16,
    node_id: i32,
) -> Result<(), String> {
    let (name, level) = (&*update.feature, update.max_version_level);
    let upgrade_type = match (version, update.allow_downgrade) {
        (0, true) => UNSAFE_DOWNGRADE,
        (0, false) => UPGRADE,
        _ => update.upgrade_type,
    };
    let invalid = |reason: String| {
        Err(format!("Invalid update version {level} for feature {name}. {reason}"))
    };
    if !(UPGRADE..=UNSAFE_DOWNGRADE).contains(&upgrade_type) {
        return invalid("The controller does not support the given upgrade type.".to_owned());
    }
    if level < 0 {
        return invalid("A feature version cannot be less than 0.".to_owned());
    }
    match features::feature(name) {
        None => invalid(format!("Local controller {node_id} does not support this feature.")),
        Some(row) if !(row.min..=row.max).contains(&level) => invalid(format!(
            "Local controller {node_id} only supports versions {}-{}",
            row.min, row.max
        )),
        Some(_) if level < current && upgrade_type == UPGRADE => invalid(
            "Can't downgrade the version of this feature without setting the upgrade type to either safe or unsafe \
             downgrade."
                .to_owned(),
        ),
        Some(_) if level > current && matches!(upgrade_type, SAFE_DOWNGRADE | UNSAFE_DOWNGRADE) => {
            invalid("Can't downgrade to a newer version.".to_owned())
        }
        Some(_) => Ok(()),
    }
}
