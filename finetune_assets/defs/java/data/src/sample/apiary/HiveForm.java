/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.apiary;

import java.time.LocalDate;
import java.util.LinkedHashSet;
import java.util.Set;

/** The paper form by which a hive is asked for; it has grown with every wish of the apiary. */
public class HiveForm {

  String tag;
  String meadow;
  String applicant;
  String telephone;
  String remarks;
  int frames;
  LocalDate wantedFrom;

  HiveForm(
      String tag, String meadow, String applicant, String telephone, String remarks, int frames,
      LocalDate wantedFrom) {
    this.tag = tag;
    this.meadow = meadow;
    this.applicant = applicant;
    this.telephone = telephone;
    this.remarks = remarks;
    this.frames = frames;
    this.wantedFrom = wantedFrom;
  }

  public String getApplicant() {
    return applicant;
  }

  public void setApplicant(String applicant) {
    this.applicant = applicant;
  }

  public boolean isComplete() {
    return tag != null && meadow != null && applicant != null && wantedFrom != null;
  }

  public Hive toEntry(LocalDate today) {
    LocalDate first = wantedFrom.isBefore(today) ? today : wantedFrom;
    return new Hive(tag, meadow, frames, first);
  }

  public String summary() {
    return "%s wants %d frames of comb in %s".formatted(applicant, frames, meadow);
  }

  public Set<String> missing() {
    Set<String> names = new LinkedHashSet<>();
    if (tag == null) {
      names.add("tag");
    }
    if (meadow == null) {
      names.add("meadow");
    }
    if (applicant == null) {
      names.add("applicant");
    }
    return names;
  }
}
