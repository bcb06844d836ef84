/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.museum;

import java.util.Optional;

/** The stages that a exhibit goes through in the museum, in their usual order. */
public enum ExhibitState {
  /** The exhibit is stored. */
  STORED(true),
  /** The exhibit is restored. */
  RESTORED(true),
  /** The exhibit is shown. */
  SHOWN(true),
  /** The exhibit is on loan. */
  ON_LOAN(false);

  private final boolean open;

  ExhibitState(boolean open) {
    this.open = open;
  }

  /** Tells whether somebody still has to act on a exhibit in this stage. */
  public boolean isOpen() {
    return open;
  }

  /**
   * Finds the stage of a exhibit that usually follows; the whole way is stored, restored, shown, on loan.
   *
   * @return the next stage of the exhibit, or nothing once it is on loan
   */
  public Optional<ExhibitState> next() {
    ExhibitState[] exhibitStates = values();
    int following = ordinal() + 1;
    return following < exhibitStates.length ? Optional.of(exhibitStates[following]) : Optional.empty();
  }
}
