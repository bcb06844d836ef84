/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.railway;

import java.time.LocalDate;
import java.util.LinkedHashSet;
import java.util.Set;

/** The paper form by which a wagon is asked for; it has grown with every wish of the railway. */
public class WagonForm {

  String code;
  String track;
  String applicant;
  String telephone;
  String remarks;
  int tonnes;
  LocalDate wantedFrom;

  WagonForm(
      String code, String track, String applicant, String telephone, String remarks, int tonnes,
      LocalDate wantedFrom) {
    this.code = code;
    this.track = track;
    this.applicant = applicant;
    this.telephone = telephone;
    this.remarks = remarks;
    this.tonnes = tonnes;
    this.wantedFrom = wantedFrom;
  }

  public String getApplicant() {
    return applicant;
  }

  public void setApplicant(String applicant) {
    this.applicant = applicant;
  }

  public boolean isComplete() {
    return code != null && track != null && applicant != null && wantedFrom != null;
  }

  public Wagon toEntry(LocalDate today) {
    LocalDate first = wantedFrom.isBefore(today) ? today : wantedFrom;
    return new Wagon(code, track, tonnes, first);
  }

  public String summary() {
    return "%s wants %d tonnes in %s".formatted(applicant, tonnes, track);
  }

  public Set<String> missing() {
    Set<String> names = new LinkedHashSet<>();
    if (code == null) {
      names.add("code");
    }
    if (track == null) {
      names.add("track");
    }
    if (applicant == null) {
      names.add("applicant");
    }
    return names;
  }
}
