/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.observatory;

import java.util.Optional;

/** The stages that a station goes through in the observatory, in their usual order. */
public enum StationState {
  /** The station is planned. */
  PLANNED(true),
  /** The station is active. */
  ACTIVE(true),
  /** The station is calibrating. */
  CALIBRATING(true),
  /** The station is retired. */
  RETIRED(false);

  private final boolean open;

  StationState(boolean open) {
    this.open = open;
  }

  /** Tells whether somebody still has to act on a station in this stage. */
  public boolean isOpen() {
    return open;
  }

  /**
   * Finds the stage of a station that usually follows; the whole way is planned, active, calibrating, retired.
   *
   * @return the next stage of the station, or nothing once it is retired
   */
  public Optional<StationState> next() {
    StationState[] stationStates = values();
    int following = ordinal() + 1;
    return following < stationStates.length ? Optional.of(stationStates[following]) : Optional.empty();
  }
}
